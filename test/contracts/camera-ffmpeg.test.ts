/** The ffmpeg executable passes the suite of the `Camera` contract. */
import { openCamera } from '../../edge-agent/src/cameras/open-camera.ts'
import { testCamera } from './camera.ts'

testCamera('ffmpeg', { decoder: 'ffmpeg', open: openCamera, needs: ['ffmpeg'] })
