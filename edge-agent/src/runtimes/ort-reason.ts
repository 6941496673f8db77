/** What ONNX Runtime says when it refuses a model, made fit for people; also when a server passes it on. */

/** ONNX Runtime's reasons in our words; its own, without C++ paths, where we have none. */
export function ortReason(text: string): string {
  const unknownOperator =
    /No Op registered for (?<operator>\S+) with domain_version of (?<opset>\d+)/.exec(text)?.groups
  if (unknownOperator) {
    const { operator, opset } = unknownOperator
    return `it needs operator "${operator}" of opset ${opset}, which this runtime does not know`
  }
  const custom = /(?:Fatal error: |implementation for )(?<operator>[\w.:]+)\(-?\d+\)/.exec(text)
    ?.groups?.operator
  if (custom) return `it needs operator "${custom}", which this runtime does not know`
  const domain = /Node,? \("[^"]*", (\w+), .*No opset import for domain '([^']*)'/.exec(text)
  if (domain) {
    return `it needs operator "${domain[2]}:${domain[1]}", whose domain the file does not import`
  }
  const opset =
    /Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)/s.exec(text)
  if (opset) {
    return `it needs opset ${opset[1]} of ${opset[2]}, ONNX Runtime knows up to ${opset[3]}; export it with an older opset`
  }
  // What stands behind the last code or C++ place is the reason itself.
  const place = /\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(?:cc|h):\d+ [\w:]+(?:\([^)]*\))? /
  const plain = text.split(place).at(-1) ?? text
  return `ONNX Runtime refused it: ${plain.trim().replace(/\.$/, '')}`
}

/** What a server says about a model, in our words where they are ONNX Runtime's. */
export function saidReason(said: string): string {
  return /ONNXRuntimeError|onnxruntime|Fatal error: |No Op registered|No opset import/.test(said)
    ? ortReason(said)
    : said
}
