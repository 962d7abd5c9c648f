// Monaco's language services run in workers. Each is a file of its own on this origin, since the
// page's policy allows neither blob: addresses nor eval.
import EditorWorker from "monaco-editor/esm/vs/editor/editor.worker.js?worker";
import JSONWorker from "monaco-editor/esm/vs/language/json/json.worker.js?worker";
import GraphQLWorker from "./graphql.worker.ts?worker";

self.MonacoEnvironment = {
  getWorker(_id: string, label: string): Worker {
    switch (label) {
      case "json":
        return new JSONWorker();
      case "graphql":
        return new GraphQLWorker();
      default:
        return new EditorWorker();
    }
  },
};
