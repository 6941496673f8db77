/** Something that is shown once: to copy, and then gone. */
import { Button, CopyButton } from '@mantine/core'
import classes from './people.module.css'

export function Secret(props: { value: string; what: string }) {
  return (
    <>
      <pre className={classes.secret}>{props.value}</pre>
      <CopyButton value={props.value}>
        {({ copied, copy }) => (
          <Button variant="default" onClick={copy}>
            {copied ? 'Copied' : `Copy the ${props.what}`}
          </Button>
        )}
      </CopyButton>
    </>
  )
}
