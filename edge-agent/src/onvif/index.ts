/**
 * Door to ONVIF without an agent: which cameras are in this network, and under which addresses one of
 * them sends its streams.
 * @module
 */
export { type DiscoveredCamera, discoverCameras } from './discover.ts'
export { describeCamera, type OnvifCamera, type OnvifProfile } from './onvif-camera.ts'
