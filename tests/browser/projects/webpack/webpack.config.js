const ReactRefreshPlugin = require("@pmmmwh/react-refresh-webpack-plugin");
const HtmlWebpackPlugin = require("html-webpack-plugin");

const babel = {
  presets: [["@babel/preset-react", { runtime: "automatic", development: true }]],
  plugins: ["react-refresh/babel"],
};

module.exports = {
  mode: "development",
  entry: "./src/index.jsx",
  module: {
    rules: [
      { test: /\.jsx$/, exclude: /node_modules/, use: { loader: "babel-loader", options: babel } },
      { test: /\.css$/, use: ["style-loader", "css-loader"] },
    ],
  },
  plugins: [new HtmlWebpackPlugin({ template: "./src/index.html" }), new ReactRefreshPlugin()],
  devServer: { hot: true },
};
