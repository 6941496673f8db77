/** node-av passes the suite of the `Camera` contract. */

// Each live camera of node-av parks a thread of libuv's pool, whose size is read at its first use.
process.env.UV_THREADPOOL_SIZE ??= '16'

const { openCamera } = await import('../../edge-agent/src/cameras/open-camera.ts')
const { testCamera } = await import('./camera.ts')

testCamera('node-av', { decoder: 'node-av', open: openCamera, needs: ['node-av'] })

export {}
