#!/usr/bin/env node
/*
 * The front of the command `doorlink`. Plain old JavaScript, so that a Node too old for the program can still read
 * this file and say so: nothing younger than Node 12.17, which was the first 12 to read modules at all.
 * In a checkout it runs the TypeScript beside it; in the packed package it runs what was built from it.
 */
import { existsSync } from "fs";

var wantedMajor = 24;
var environmentFault = 3;

function run() {
  var checkout = new URL("./main.ts", import.meta.url);
  var packed = new URL("../dist/agent/main.js", import.meta.url);
  import(existsSync(checkout) ? checkout.href : packed.href)
    .then(function (main) {
      return main.runCommandLine(process.argv.slice(2));
    })
    .then(
      function (exitCode) {
        process.exitCode = exitCode;
      },
      function (fault) {
        // Not a finding (1) and not the caller's input (2): the program or its installation is broken, and says where.
        process.stderr.write(String((fault && fault.stack) || fault) + "\n");
        process.exit(environmentFault);
      },
    );
}

if (parseInt(process.versions.node, 10) < wantedMajor) {
  process.stderr.write(
    "doorlink: this is Node " +
      process.versions.node +
      ", but doorlink needs Node " +
      wantedMajor +
      " or newer: " +
      "install it (nodejs.org), or use scripts/doorlink of a checkout, which brings it\n",
  );
  process.exitCode = environmentFault;
} else {
  run();
}
