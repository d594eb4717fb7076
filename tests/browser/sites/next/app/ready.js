"use client";
import { useEffect, useState } from "react";

export default function Ready() {
  const [ready, setReady] = useState("");
  useEffect(() => setReady("yes"), []);
  return <p id="ready">{ready}</p>;
}
