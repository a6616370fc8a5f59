import { ProtoWriter, protoFields, protoText } from "./proto.ts";

/** `grpc.health.v1.HealthCheckResponse.ServingStatus` */
export type Serving = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

const numbers: Readonly<Record<Serving, number>> = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 };

/** The service that a `HealthCheckRequest` asks for; empty: the server itself. Throws BAD_REQUEST. */
export function decodeHealthRequest(body: Uint8Array): string {
  return protoText(protoFields(body).findLast(({ field }) => field === 1)?.value);
}

/** A `HealthCheckResponse`. */
export function encodeHealthResponse(status: Serving): Buffer {
  return new ProtoWriter().int(1, numbers[status]).done();
}
