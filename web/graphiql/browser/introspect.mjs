// Reads a schema's SDL from standard input and prints what introspection answers.
import { text } from "node:stream/consumers";
import { buildSchema, introspectionFromSchema } from "graphql";

const data = introspectionFromSchema(buildSchema(await text(process.stdin)));
process.stdout.write(JSON.stringify({ data }));
