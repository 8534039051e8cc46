//go:build linux

package chaos

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

// What a process is told when it starts, in the environment.
const (
	envRole  = "RINGDHT_CHAOS_ROLE"
	envTerms = "RINGDHT_CHAOS_TERMS"
)

// terms are what a process starts with.
type terms struct {
	Process  uint64        // its number, in every message it sends
	Book     string        // file
	Listen   string        // address
	Registry string        // its address, for a node
	Lease    time.Duration // for a registry
	AskID    bool          // for a node: to have the ID
	ID       uint64
}

// command is a line to a process.
type command struct {
	Ask uint64 // number of the command, which its answer repeats
	Do  string

	Entries int           // setup
	Rate    int           // send: messages per second to all sinks together, 0 for all that goes
	Payload int           // send: bytes
	Drawn   bool          // send: sinks are drawn at random, not all served alike
	Mark    uint64        // mark: number
	At      int64         // mark: time
	Keep    bool          // mark: the gaps so far
	Timeout time.Duration // flush, settle, leave
}

// event is a line from a process.
type event struct {
	What  string
	Ask   uint64 `json:",omitempty"`
	Error string `json:",omitempty"`

	Addr    string      `json:",omitempty"` // listening
	Members []uint64    `json:",omitempty"` // members: all, whenever they change
	Pairs   [][2]uint64 `json:",omitempty"` // degraded: all, whenever they change

	ID          uint64 `json:",omitempty"` // joined, rejoined
	Incarnation uint64 `json:",omitempty"`
	Epoch       uint64 `json:",omitempty"`

	State *state `json:",omitempty"` // progress
}

// state is how far a node is.
type state struct {
	Epoch    uint64 // of its table
	Accepted uint64
	Received uint64
	Mark     uint64 // the pulses are since
	Arrivals []arrivals
	Waiting  []uint64          `json:",omitempty"` // sinks that a Send has waited for, for more than a second
	Failures map[string]uint64 `json:",omitempty"` // of Send, by error
}

// mouth prints events, whole lines at a time.
type eventWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (m *eventWriter) say(e event) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // an event is plain data
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.out.Write(append(line, '\n')); err != nil {
		os.Exit(3) // the test is gone
	}
}

// hear calls do for each command until the input ends, which is when the test has.
func readCommands(in io.Reader, do func(command)) {
	for d := json.NewDecoder(in); ; {
		var c command
		if d.Decode(&c) != nil {
			os.Exit(3)
		}
		do(c)
	}
}
