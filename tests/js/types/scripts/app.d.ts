/** What we use of ComfyUI's `scripts/app.js`. */
export const app: import("../../../../js/widgets.js").App & { registerExtension(extension: object): void };
