/** Resolves `./name` as bundlers do, with the ".js" that Node.js asks for. */

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND" || !specifier.startsWith(".")) throw error;
    return next(`${specifier}.js`, context);
  }
}
