// Package reference has the programs with which ringdht is compared: the same jobs by hand,
// with nothing but moving the bytes. Frames are a header of 32 bytes and the payload, over
// loopback TCP. Nothing is acknowledged, retransmitted, reconfigured, or bounded, so they are
// fit for nothing else.
//
//   - [Raw] is one hop: buffered writes, buffered reads, parsing, delivery.
//   - [Relay] is a chain with relays that write once for each read.
//   - [Ideal] is a ring with tables by position, as ringdht's, and a double buffer for
//     each link.
//
// Each also comes with stretches: many messages from one source to one sink under one header.
package reference
