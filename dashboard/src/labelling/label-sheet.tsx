/** The key table of the Label page, to look at. */
import { Kbd, Modal } from '@mantine/core'
import sheet from '../shell/key-sheet.module.css'
import { labelKeyTable } from './label-keys.ts'

export function LabelSheet(props: { review: boolean; onClose: () => void }) {
  return (
    <Modal
      opened
      size="lg"
      onClose={props.onClose}
      title="Keys"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <table className={sheet.keys}>
        <tbody>
          {labelKeyTable
            .filter(({ review }) => !review || props.review)
            .map(({ act, keys, does }) => (
              <tr key={act}>
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
      <p className="dim">
        The wheel zooms, the middle button (or a drag beside the boxes) moves the picture; two
        fingers do both. A long press selects what is under the finger.
      </p>
    </Modal>
  )
}
