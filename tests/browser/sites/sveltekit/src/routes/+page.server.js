import { resolve } from "$app/paths";
import { redirect } from "@sveltejs/kit";

export const load = ({ url }) => ({ address: url.origin });

export const actions = {
  default: async ({ cookies, request, url }) => {
    cookies.set("word", (await request.formData()).get("word"), {
      path: "/",
      secure: url.protocol === "https:",
    });
    redirect(303, resolve("/saved"));
  },
};
