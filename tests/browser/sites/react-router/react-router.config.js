export default { basename: process.env.BASE };
