/** Name and mark. */
import classes from './brand.module.css'

export function Brand() {
  return (
    <span className={classes.brand}>
      <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
        <path
          d="M5 12V8a3 3 0 0 1 3-3h4M20 5h4a3 3 0 0 1 3 3v4M27 20v4a3 3 0 0 1-3 3h-4M12 27H8a3 3 0 0 1-3-3v-4"
          fill="none"
          stroke="currentColor"
          strokeWidth="2.6"
          strokeLinecap="round"
        />
        <circle cx="16" cy="16" r="4.5" fill="currentColor" />
      </svg>
      <span>Edgeloop</span>
    </span>
  )
}
