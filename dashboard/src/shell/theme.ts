/**
 * Colours, type and spacing, once. Text and state colours keep at least 4.9:1 on both backgrounds
 * (WCAG 1.4.3); no other file holds a raw colour but the class colours in live/class-colour.ts.
 */
import {
  type CSSVariablesResolver,
  createTheme,
  defaultVariantColorsResolver,
  type MantineColorsTuple,
  type VariantColorsResolver,
} from '@mantine/core'

const light = {
  text: '#1b1f20',
  dimmed: '#5a6466',
  accent: '#0b7a75',
  'accent-strong': '#095f5b',
  'on-accent': '#ffffff',
  ok: '#1f7a3d',
  warn: '#8a5a00',
  bad: '#c0272d',
  info: '#1c62b9',
  updating: '#6b3fb5',
  offline: '#5a6466',
  background: '#ffffff',
  surface: '#f7f8f8',
  raised: '#ffffff',
  hover: '#eef1f1',
  border: '#dde1e2',
  'border-strong': '#c3cacb',
}

const dark: Record<keyof typeof light, string> = {
  text: '#e6e9ea',
  dimmed: '#a3adb0',
  accent: '#4fc7be',
  'accent-strong': '#7adad2',
  'on-accent': '#0d1415',
  ok: '#5fcf86',
  warn: '#f0b84a',
  bad: '#ff7b7b',
  info: '#7ab5ff',
  updating: '#b99bff',
  offline: '#a3adb0',
  background: '#16191a',
  surface: '#1e2223',
  raised: '#23282a',
  hover: '#282e30',
  border: '#2f3638',
  'border-strong': '#454e51',
}

/** Behind pictures, in both schemes. */
const video = '#0d0f10'

const accent: MantineColorsTuple = [
  '#e4f6f4',
  '#c3ebe7',
  '#8fdbd4',
  '#4fc7be',
  '#2fada5',
  '#159089',
  '#0b7a75',
  '#095f5b',
  '#074a47',
  '#053634',
]

/** What Mantine's components use for surfaces in the dark scheme: text, lines, inputs, background. */
const darkGreys: MantineColorsTuple = [
  dark.text,
  dark.dimmed,
  dark.dimmed,
  '#767f82',
  dark['border-strong'],
  dark.raised,
  dark.surface,
  dark.background,
  '#111415',
  video,
]

const variantColorResolver: VariantColorsResolver = (input) => {
  if (input.variant === 'filled' && (input.color ?? 'accent') === 'accent') {
    return {
      background: 'var(--el-accent)',
      hover: 'var(--el-accent-strong)',
      color: 'var(--el-on-accent)',
      border: '1px solid transparent',
    }
  }
  if (input.color === 'bad') {
    const filled = input.variant === 'filled'
    return {
      background: filled ? 'var(--el-bad)' : 'transparent',
      hover: filled ? 'var(--el-bad)' : 'var(--el-hover)',
      color: filled ? 'var(--el-background)' : 'var(--el-bad)',
      border: filled ? '1px solid transparent' : '1px solid var(--el-border-strong)',
    }
  }
  return defaultVariantColorsResolver(input)
}

const sans =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif'
const mono = 'ui-monospace, "SF Mono", "Cascadia Mono", "Roboto Mono", Menlo, Consolas, monospace'

export const theme = createTheme({
  primaryColor: 'accent',
  primaryShade: { light: 6, dark: 3 },
  colors: { accent, dark: darkGreys },
  fontFamily: sans,
  fontFamilyMonospace: mono,
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  lineHeights: { xs: '1.45', sm: '1.45', md: '1.45', lg: '1.45', xl: '1.45' },
  spacing: { xs: '4px', sm: '8px', md: '12px', lg: '16px', xl: '24px' },
  radius: { xs: '2px', sm: '4px', md: '4px', lg: '4px', xl: '4px' },
  defaultRadius: 'sm',
  headings: { fontFamily: sans, fontWeight: '600' },
  respectReducedMotion: true,
  variantColorResolver,
  components: {
    Modal: {
      defaultProps: { transitionProps: { duration: 120, transition: 'fade' }, centered: true },
    },
    Notification: { defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } },
    Menu: { defaultProps: { transitionProps: { duration: 80 } } },
    Tooltip: { defaultProps: { openDelay: 300, transitionProps: { duration: 80 } } },
  },
})

export const cssVariablesResolver: CSSVariablesResolver = () => ({
  variables: { '--el-video': video },
  light: schemeVariables(light),
  dark: schemeVariables(dark),
})

function schemeVariables(tokens: Record<keyof typeof light, string>): Record<string, string> {
  return {
    ...Object.fromEntries(Object.entries(tokens).map(([name, value]) => [`--el-${name}`, value])),
    '--mantine-color-text': tokens.text,
    '--mantine-color-dimmed': tokens.dimmed,
    '--mantine-color-placeholder': tokens.dimmed,
    '--mantine-color-body': tokens.background,
    '--mantine-color-error': tokens.bad,
    '--mantine-color-anchor': tokens.accent,
    '--mantine-color-default': tokens.raised,
    '--mantine-color-default-hover': tokens.hover,
    '--mantine-color-default-color': tokens.text,
    '--mantine-color-default-border': tokens['border-strong'],
    '--mantine-primary-color-filled': tokens.accent,
    '--mantine-primary-color-filled-hover': tokens['accent-strong'],
  }
}
