/** Put in by the build. */
declare const __EDGELOOP_VERSION__: string

declare module '*.module.css' {
  const classes: { readonly [name: string]: string }
  export default classes
}
