/** The embedded broker passes the contract; what MQTT knows beyond it is in test/broker/interoperability.test.ts. */
import { openClients } from '../../../test/broker/clients.ts'
import { openTestBroker, takeNotes } from '../../../test/broker/embedded.ts'
import { testBroker } from '../../../test/contracts/broker.ts'

testBroker('embedded broker', {}, async (t, room) => {
  const clients = await openClients(t)
  const told = takeNotes(room)
  const broker = await openTestBroker(t, clients, told)
  return { broker, told, certify: clients.certify }
})
