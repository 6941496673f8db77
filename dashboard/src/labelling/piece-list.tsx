/** What is in the frame as a list: the canvas for whoever does not see it, and a way to what lies behind others. */
import { CloseButton } from '@mantine/core'
import { memo, useCallback, useEffect, useRef } from 'react'
import { classColour } from '../live/class-colour.ts'
import { sayCount, sayOf } from '../shell/say.ts'
import type { Piece } from './desk.ts'
import classes from './label-page.module.css'
import { boundsOf } from './shapes.ts'

export function PieceList(props: {
  pieces: readonly Piece[]
  /** Suggestions that are not sure enough to be shown. */
  hidden: number
  threshold: number
  selected: number | undefined
  onSelect: (pieceId: number) => void
  onRemove: (pieceId: number) => void
}) {
  const { pieces, hidden, selected } = props
  const acts = useRef(props)
  useEffect(() => {
    acts.current = props
  })
  // The same for every row and every change: of 500 rows only those that changed are drawn anew.
  const select = useCallback((pieceId: number) => acts.current.onSelect(pieceId), [])
  const remove = useCallback((pieceId: number) => acts.current.onRemove(pieceId), [])
  return (
    <section className={classes.pieces} aria-label="Objects">
      <h2>
        {sayOf(pieces.length, 'object')}
        {hidden > 0 && (
          <span className="dim">
            {' '}
            · {sayCount(hidden)} below {Math.round(props.threshold * 100)} %
          </span>
        )}
      </h2>
      <ul>
        {pieces.map((piece) => (
          <Row
            key={piece.pieceId}
            piece={piece}
            isSelected={piece.pieceId === selected}
            onSelect={select}
            onRemove={remove}
          />
        ))}
      </ul>
    </section>
  )
}

const Row = memo(function Row(props: {
  piece: Piece
  isSelected: boolean
  onSelect: (pieceId: number) => void
  onRemove: (pieceId: number) => void
}) {
  const { piece, isSelected } = props
  const { pieceId, label, score, crowd } = piece
  const row = useRef<HTMLLIElement>(null)
  useEffect(() => {
    if (isSelected) row.current?.scrollIntoView({ block: 'nearest' })
  }, [isSelected])
  return (
    <li ref={row} data-selected={isSelected}>
      <button type="button" aria-pressed={isSelected} onClick={() => props.onSelect(pieceId)}>
        <span className={classes.swatch} style={{ background: classColour(label) }} aria-hidden />
        <span className="clip">{label}</span>{' '}
        <span className="dim">
          {score === undefined ? sayFrom(piece) : `${Math.round(score * 100)} %`}
          {crowd && ', difficult'}
        </span>{' '}
        <span className={classes.place}>{sayPlace(piece)}</span>
      </button>
      <CloseButton
        size="xs"
        aria-label={`Delete ${label}`}
        onClick={() => props.onRemove(pieceId)}
      />
    </li>
  )
})

const sayFrom = ({ from }: Piece): string => (from?.startsWith('answer:') ? from.slice(7) : 'yours')

/** Left, top, width and height in pixels. */
function sayPlace({ shape }: Piece): string {
  const bounds = boundsOf(shape)
  if (!bounds) return 'whole picture'
  const { left, top, right, bottom } = bounds
  const [x, y, width, height] = [left, top, right - left, bottom - top].map(Math.round)
  return `${x}, ${y}; ${width} × ${height}`
}
