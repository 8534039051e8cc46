// Package ringdht sends messages between processes over a structured ring.
package ringdht
