/**
 * A configuration for Mosquitto 2.0 as a site's broker: TLS with a certificate for each client, who says what decided by the name in
 * it, deny by default, and bounds for everything that a client can make it hold. Every line is held to a running Mosquitto by
 * test/real/broker-config.test.ts. Pure. Source: mosquitto.conf(5); reference: mqtt, findings 2 and 3. SPEC B17.
 */
import { PAYLOAD_LIMIT_BYTES } from "../../protocol/wire/payload.ts";
import type { BrokerFile, BrokerPlan } from "./broker-files.ts";
import { deviceRights, gatewayRights, type TopicRights } from "./topic-rights.ts";

export function mosquittoFiles(plan: BrokerPlan): readonly BrokerFile[] {
  const aclPath = `${plan.folder}/doorlink.acl`;
  return [
    { path: `${plan.folder}/doorlink.conf`, text: configuration(plan, aclPath) },
    { path: aclPath, text: accessList(plan) },
  ];
}

function configuration(plan: BrokerPlan, aclPath: string): string {
  const { site, listen, caFile, certificateFile, keyFile, crlFile } = plan;
  return `# Mosquitto 2.0 as the broker of the doorlink site ${site}. Made by: doorlink broker-config mosquitto
# Debian reads it from /etc/mosquitto/conf.d. Any other listener of the same Mosquitto needs a login too, or it is a way around this one.

listener ${listen.port} ${listen.host}
protocol mqtt
socket_domain ${listen.host.includes(":") ? "ipv6" : "ipv4"}

# Who connects shows a certificate of the site's CA, and is who it says.
cafile ${caFile}
certfile ${certificateFile}
keyfile ${keyFile}
${crlFile === undefined ? "# Revoked devices: crlfile FILE, read again on SIGHUP. The gateway takes nothing from them in any case." : `crlfile ${crlFile}`}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
# The client id is the name as well, so that nobody throws another off by taking its id.
use_username_as_clientid true
allow_anonymous false
acl_file ${aclPath}

# An event counts when it is in the gateway's store, and its device sends it until then. What Mosquitto acknowledges it has not
# written (default: snapshot every 30 minutes), so persistence would wear the card and save nothing. After a restart devices
# and gateway say their retained messages again.
persistence false

# Bounds. What does not fit is dropped and comes again; what is unbounded ends in "out of memory".
# The protocol's largest payload (512 KiB) with topic and header.
max_packet_size ${PAYLOAD_LIMIT_BYTES + 1024}
# Without a PUBACK from a client; the gateway acknowledges at once unless its disk is behind.
max_inflight_messages 100
# Behind those: 100 devices that come back at once with four batches each, and room.
max_queued_messages 1000
max_queued_bytes ${64 * MEBIBYTE}
memory_limit ${256 * MEBIBYTE}
max_connections 2000
# SPEC V9: a command is for now. It is sent at QoS 0, and this keeps none for who is away.
queue_qos0_messages false
persistent_client_expiration 1d
allow_zero_length_clientid false
set_tcp_nodelay true
`;
}

function accessList({ site, gateways }: BrokerPlan): string {
  const ofGateways = gateways.map((gateway) => `user ${gateway}\n${lines("topic", gatewayRights(site, gateway))}`);
  return `# Deny by default: what is not here is refused.

# A gateway hears what the site's devices say and tells them what they are to know. It may speak for none of them.
${ofGateways.join("\n")}
# A device says what is its own and hears what is for it; %u is the name in its certificate.
${lines("pattern", deviceRights(site, "%u"))}`;
}

function lines(word: "topic" | "pattern", { publish, subscribe }: TopicRights): string {
  const writes = publish.map((topic) => `${word} write ${topic}\n`);
  const reads = subscribe.map((topic) => `${word} read ${topic}\n`);
  return [...writes, ...reads].join("");
}

const MEBIBYTE = 1024 * 1024;
