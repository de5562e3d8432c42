// Appends by CLIENTS for SECONDS, FACTS at a time, each client to STREAMS streams in turn: emmett.mjs CLIENTS SECONDS FACTS STREAMS POOL
import { readFileSync } from 'node:fs';
import { getPostgreSQLEventStore } from '@event-driven-io/emmett-postgresql';
import pg from 'pg';

const [clients, seconds, facts, streams] = process.argv.slice(2, 6).map(Number);
const events = JSON.parse(readFileSync(process.argv[6]));
const address = process.env.PGURL;
const store = getPostgreSQLEventStore(address, {
  connectionOptions: { pool: new pg.Pool({ connectionString: address, max: clients }) },
});
await store.schema.migrate();

async function append(client, number) {
  const version = Math.floor(number / streams) * facts;
  const chosen = Array.from({ length: facts }, (_, i) => events[(number * facts + i) % events.length]);
  await store.appendToStream(`task-${client}-${number % streams}`, chosen, {
    expectedStreamVersion: version === 0 ? 'STREAM_DOES_NOT_EXIST' : BigInt(version),
  });
}

const ids = [...Array(clients).keys()];
await Promise.all(ids.map((client) => append(client, 0))); // opens the connections
const took = [];
const began = performance.now();
const end = began + seconds * 1000;
await Promise.all(ids.map(async (client) => {
  for (let number = 1; ; number++) {
    const start = performance.now();
    if (start >= end) return;
    await append(client, number);
    took.push(performance.now() - start);
  }
}));
const spent = (performance.now() - began) / 1000;
took.sort((a, b) => a - b);
const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
console.log(JSON.stringify({ count: took.length * facts, seconds: spent, p50_ms: at(0.5), p99_ms: at(0.99) }));
process.exit(0);
