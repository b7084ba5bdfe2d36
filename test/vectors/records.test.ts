import { describe } from "vitest";
import { auditEntry } from "../../protocol/wire/audit-entry.ts";
import { keyset } from "../../protocol/wire/keyset.ts";
import {
  dailyKeyList,
  pairingCourierMessage,
  pairingLockMessage,
  pairingStatement,
} from "../../protocol/wire/pairing-message.ts";
import { policyReport } from "../../protocol/wire/policy-report.ts";
import { auditBatch } from "../../protocol/wire/sealing.ts";
import {
  accessProof,
  appCertificate,
  courierCertificate,
  lockReport,
  logRelease,
  timeAnswer,
} from "../../protocol/wire/signed-objects.ts";
import { timeDelegate } from "../../protocol/wire/time-delegate.ts";
import { bootReport, unlockCommand } from "../../protocol/wire/unlock-command.ts";
import { readVectors } from "./read-vectors.ts";
import { describeRecords, type Reader, type RecordVectors, readerOf } from "./record-cases.ts";

const { records } = readVectors<{ readonly records: Readonly<Record<string, RecordVectors>> }>("records.json");

const readers: Readonly<Record<string, Reader>> = {
  courierCertificate: readerOf(courierCertificate),
  appCertificate: readerOf(appCertificate),
  accessProof: readerOf(accessProof),
  timeAnswer: readerOf(timeAnswer),
  logRelease: readerOf(logRelease),
  lockReport: readerOf(lockReport),
  keyset: readerOf(keyset),
  timeDelegate: readerOf(timeDelegate),
  unlockCommand: readerOf(unlockCommand),
  bootReport: readerOf(bootReport),
  policyReport: readerOf(policyReport),
  auditEntry: readerOf(auditEntry),
  pairingStatement: readerOf(pairingStatement),
  dailyKeyList: readerOf(dailyKeyList),
  auditBatch: readerOf(auditBatch),
  pairingCourierMessage: readerOf(pairingCourierMessage),
  pairingLockMessage: readerOf(pairingLockMessage),
};

describe("records.json", () => describeRecords(records, readers));
