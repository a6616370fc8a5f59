import { createService } from "ts-micro";

interface Paid {
  id: number;
}
const audited: number[] = [];
const mailed: string[] = [];

const audit = createService({ name: "audit", logLevel: "warn" }).subscribe<Paid>("orders.paid", ({ id }) => {
  audited.push(id);
});
// Two subscribers of one queue: each message goes to one of them.
const mailer = (who: string) =>
  createService({ name: "mailer", logLevel: "warn" }).subscribe<Paid>(
    "orders.paid",
    ({ id }) => {
      mailed.push(`${who} ${id}`);
    },
    { queue: "mail" },
  );
const services = [audit, mailer("a"), mailer("b")];
await Promise.all(services.map((service) => service.start()));

for (let id = 1; id <= 6; id++) await audit.publish("orders.paid", { id });
await Promise.all(services.map((service) => service.stop())); // what was taken over is dealt with first

console.log(`audited: ${audited.toSorted((a, b) => a - b).join(" ")}`);
console.log(`mailed once each: ${new Set(mailed.map((line) => line.slice(2))).size === 6 && mailed.length === 6}`);
