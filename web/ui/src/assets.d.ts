// esbuild turns these imports into a style sheet beside the script.
declare module "*.css";
