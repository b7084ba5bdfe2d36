/**
 * A configuration for nats-server 2.9 (JetStream, MQTT) as a site's broker: TLS with a certificate for each client, a user for each
 * name, deny by default. NATS knows no pattern with the user's name in it, so every device stands in it: it is made anew when
 * devices come or go, and read again on SIGHUP. Held to a running nats-server by test/real/broker-config.test.ts. Pure.
 * Source: docs.nats.io, "MQTT", "Authorization", "TLS authentication". SPEC B17.
 */
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import type { BrokerFile, BrokerPlan } from "./broker-files.ts";
import { deviceRights, gatewayRights, type TopicRights } from "./topic-rights.ts";

export function natsFiles(plan: BrokerPlan): readonly BrokerFile[] {
  return [{ path: `${plan.folder}/doorlink-nats.conf`, text: configuration(plan) }];
}

function configuration(plan: BrokerPlan): string {
  const { site, gateways, devices, listen, caFile, certificateFile, keyFile, dataFolder } = plan;
  const users = [
    ...gateways.map((gateway) => userLines(gateway, gatewayRights(site, gateway))),
    ...devices.map((device) => userLines(device, deviceRights(site, device))),
  ];
  return `# nats-server 2.9 as the broker of the doorlink site ${site}. Made by: doorlink broker-config nats
# Make it anew when devices come or go, and send SIGHUP: NATS knows its users by name.

server_name: "${site}"

# NATS' own protocol is not used, and none of the users below may use it: any free port, for this machine alone.
listen: "127.0.0.1:-1"

# The protocol's largest payload (512 KiB), and a little.
max_payload: ${PAYLOAD_LIMIT_BYTES + 1024}

# MQTT sessions, retained messages and what is under way at QoS 1. JetStream acknowledges before it has synced (every 2 minutes by
# default), and that is good enough: an event counts when it is in the gateway's store, and its device sends it until then.
jetstream {
  store_dir: ${quoted(dataFolder)}
  max_memory_store: 64MB
  max_file_store: 1GB
}

mqtt {
  listen: ${quoted(listen.host.includes(":") ? `[${listen.host}]:${listen.port}` : `${listen.host}:${listen.port}`)}
  # Without a PUBACK from a client; the gateway acknowledges at once unless its disk is behind.
  max_ack_pending: 100
  tls {
    cert_file: ${quoted(certificateFile)}
    key_file: ${quoted(keyFile)}
    ca_file: ${quoted(caFile)}
    # Who connects shows a certificate of the site's CA, and is the user of the name in it. A user name or password is not looked at.
    verify_and_map: true
    timeout: 10
  }
}

accounts {
  DOORLINK {
    jetstream: enabled
    # Deny by default: whoever is not here is refused, and so is what is not in a list.
    users: [
${users.join("")}    ]
  }
}
`;
}

function userLines(name: string, { publish, subscribe }: TopicRights): string {
  const list = (topics: readonly string[]): string => topics.map((topic) => quoted(topicToSubject(topic))).join(", ");
  return `      {
        user: ${quoted(name)}
        allowed_connection_types: ["MQTT"]
        permissions {
          publish { allow: [${list(publish)}] }
          subscribe { allow: [${list(subscribe)}, ${quoted(DELIVERY_SUBJECTS)}] }
        }
      }
`;
}

/** Topics here have no dots, blanks or empty levels, which NATS would take otherwise. */
function topicToSubject(topic: string): string {
  return topic.replaceAll("/", ".").replaceAll("+", "*");
}

function quoted(text: string): string {
  return `"${text}"`;
}

/** What NATS itself subscribes to for a subscription at QoS 1; an MQTT client that asks for it is refused. */
const DELIVERY_SUBJECTS = "$MQTT.sub.>";
