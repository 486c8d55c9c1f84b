// What is wrong in a module, besides its types (tsconfig.json) and its form (.prettierrc.json).
import js from "@eslint/js";
import { importX } from "eslint-plugin-import-x";
import jsdoc from "eslint-plugin-jsdoc";
import globals from "globals";

const TOOLS = ["*.config.js", "testing.js", "**/*.test.js"];
const EXPORTED = [
  "ExportNamedDeclaration > FunctionDeclaration",
  "ExportNamedDeclaration > VariableDeclaration > VariableDeclarator > ArrowFunctionExpression",
];

export default [
  { ignores: ["node_modules/"] },
  js.configs.recommended,
  {
    plugins: { "import-x": importX, jsdoc },
    languageOptions: { globals: { ...globals.browser, Plotly: "readonly" } },
    rules: {
      "no-unused-vars": ["error", { ignoreRestSiblings: true }],
      eqeqeq: "error",
      "prefer-const": ["error", { destructuring: "all" }],
      // Parts of the page know each other one way: a module may be read without what it is used by.
      "import-x/no-cycle": "error",
      "import-x/no-self-import": "error",
      "import-x/no-mutable-exports": "error",
      "import-x/first": "error",
      "import-x/no-duplicates": "error",
      // A browser adds no suffix and looks in no folder of packages.
      "import-x/extensions": ["error", "always", { checkTypeImports: false }],
      "import-x/no-unresolved": "error",
    },
  },
  {
    ignores: TOOLS,
    rules: {
      "import-x/no-extraneous-dependencies": ["error", { devDependencies: false, optionalDependencies: false }],
      // Exported functions say what they take and give; tsc holds them to it.
      "jsdoc/require-jsdoc": ["error", { contexts: EXPORTED, require: { FunctionDeclaration: false } }],
      "jsdoc/require-param": ["error", { contexts: EXPORTED, checkDestructured: false }],
      "jsdoc/require-param-type": ["error", { contexts: EXPORTED }],
      "jsdoc/require-returns": ["error", { contexts: EXPORTED }],
      "jsdoc/require-returns-type": ["error", { contexts: EXPORTED }],
    },
  },
  { files: TOOLS, languageOptions: { globals: globals.node } },
];
