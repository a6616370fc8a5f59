import { createService } from "ts-micro";
import type { Weather } from "./contract.js";

class Station implements Weather {
  async now({ city }: { city: string }): Promise<{ celsius: number }> {
    return { celsius: city.length };
  }

  async *forecast({ city, hours }: { city: string; hours: number }): AsyncGenerator<{ hour: number; celsius: number }> {
    for (let hour = 1; hour <= hours; hour++) yield { hour, celsius: city.length + hour };
  }
}

export const weather = createService({ name: "weather", logLevel: "warn" }).handle("Weather", new Station());
