/** The key table, to look at. */
import { Kbd, Modal } from '@mantine/core'
import classes from './key-sheet.module.css'
import { keyTable } from './keys.ts'

export function KeySheet(props: { opened: boolean; onClose: () => void }) {
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title="Keys"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <table className={classes.keys}>
        <tbody>
          <tr>
            <th scope="row">
              <Kbd mr={4}>Ctrl</Kbd>
              <Kbd>k</Kbd>
            </th>
            <td>Find a page, a device or a command</td>
          </tr>
          {keyTable.map(({ action, keys, does }) => (
            <tr key={action}>
              <th scope="row">
                {keys.map((key) => (
                  <Kbd key={key} mr={4}>
                    {key}
                  </Kbd>
                ))}
              </th>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Modal>
  )
}
