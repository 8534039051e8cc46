// Package sim tests membership, routing and streams by simulation. It has only tests.
//
// A world is a registry with the real [membership.Authority], and nodes with the real
// [membership.NodeView], routing decisions and streams, on one thread of virtual time. All
// faults are drawn from a seed, so a seed gives the same world again. After every step a
// judge, which knows the whole world, compares what happened with what was promised.
//
// In the worlds of secure rings, admissions, keys and signatures are those of package secure. TLS is
// not simulated: a connection carries what each end shows, with its key as proven.
package sim
