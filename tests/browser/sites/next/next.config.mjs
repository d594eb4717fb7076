export default { basePath: process.env.BASE, trailingSlash: true };
