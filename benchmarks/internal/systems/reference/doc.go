// Package reference holds what ringdht is measured against: the same jobs by hand,
// with nothing but what moving the bytes takes. Frames are a header of 32 bytes and
// the payload, over loopback TCP. Nothing is acknowledged, repeated, reconfigured or
// bounded for the sake of others, so nobody should use this for anything else.
//
//   - [Raw] is one hop: buffered writes, buffered reads, parsing, delivery.
//   - [Relay] is a chain with relays in between that write once for what one read
//     brought.
//   - [Ideal] is a ring with tables by position, as ringdht's, and a double buffer
//     for each link.
package reference
