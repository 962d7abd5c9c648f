import { GraphQLWorker } from "monaco-graphql/esm/GraphQLWorker.js";
// @ts-expect-error it comes without types
import { initialize } from "monaco-editor/esm/vs/editor/editor.worker.js";

interface JSONSchema {
  properties?: Record<string, { default?: unknown }>;
  required?: string[];
  definitions?: Record<string, JSONSchema>;
}

// Worker is monaco-graphql's, but for one thing: graphql-language-service 5.7.0 calls a non-null input
// field required even where it has a default, so that correct variables were marked as wrong.
class Worker extends GraphQLWorker {
  async doGetVariablesJSONSchema(uri: string) {
    const schema = await super.doGetVariablesJSONSchema(uri);
    Object.values((schema as JSONSchema | null)?.definitions ?? {}).forEach(requireNoDefaults);
    return schema;
  }
}

function requireNoDefaults(schema: JSONSchema) {
  schema.required = schema.required?.filter((name) => schema.properties?.[name]?.default === undefined);
}

self.onmessage = () => {
  initialize((context: any, data: any) => new Worker(context, data));
};
