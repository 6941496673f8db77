/** Both decoders pass the one suite of the `Camera` contract. */
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { testCamera } from './camera.ts'

testCamera('node-av', { decoder: 'node-av', open: openCamera, needs: ['node-av'] })
testCamera('ffmpeg', { decoder: 'ffmpeg', open: openCamera, needs: ['ffmpeg'] })
