// Package sim proves the live membership by simulation, in its tests: a registry
// with the real [membership.Authority], nodes with the real [membership.Local], the
// real routing decisions and the real streams, on one thread of virtual time, with
// everything that can go wrong drawn from a seed. After every step a judge that
// knows all holds what happened against what was promised.
package sim
