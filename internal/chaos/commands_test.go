//go:build linux

package chaos

import (
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"
)

// The environment of a process that a test starts.
const (
	envRole  = "RINGDHT_CHAOS_ROLE"
	envTerms = "RINGDHT_CHAOS_TERMS"
)

// terms are the parameters of a process.
type terms struct {
	Process  uint64        // its number, which is in every message that it sends
	Book     string        // file
	Listen   string        // address
	Registry string        // its address, or a join line; for a node
	Lease    time.Duration // for a registry
	Itself   bool          // for a registry: the ring sets itself up
	State    string        // for a registry: directory
	Secure   bool          // for a registry: the ring is a secure one
	AskID    bool          // for a node: ask for ID
	ID       uint64
}

// command is a line to a process.
type command struct {
	Ask uint64 // the number of the command, which the answer repeats
	Do  string

	Entries int           // setup
	Rate    int           // send: messages per second to all sinks together, 0 for no limit
	Payload int           // send: bytes
	Drawn   bool          // send: sinks are drawn at random
	Mark    uint64        // mark: number
	At      int64         // mark: time
	Keep    bool          // mark: keep the gaps so far
	Timeout time.Duration // flush, settle, leave
}

// event is a line from a process.
type event struct {
	What  string
	Ask   uint64 `json:",omitempty"`
	Error string `json:",omitempty"`

	Addr    string      `json:",omitempty"` // listening
	Line    string      `json:",omitempty"` // listening: to join by
	Members []uint64    `json:",omitempty"` // members: all, whenever they change
	Pairs   [][2]uint64 `json:",omitempty"` // degraded: all, whenever they change

	ID          uint64 `json:",omitempty"` // joined, rejoined
	Incarnation uint64 `json:",omitempty"`
	Epoch       uint64 `json:",omitempty"`

	State *state `json:",omitempty"` // progress
	Calls *calls `json:",omitempty"` // calls: the account of a client
}

// state is the state of a node.
type state struct {
	Epoch    uint64 // of its table
	Accepted uint64
	Received uint64
	Mark     uint64 // the mark that Arrivals are since
	Arrivals []arrivals
	Waiting  []uint64          `json:",omitempty"` // sinks for which a Send has waited for more than a second
	Failures map[string]uint64 `json:",omitempty"` // of Send, by error
}

// eventWriter prints events, whole lines at a time.
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

// readCommands calls do for each command, until the test ends the input.
func readCommands(in io.Reader, do func(command)) {
	for d := json.NewDecoder(in); ; {
		var c command
		if d.Decode(&c) != nil {
			os.Exit(3)
		}
		do(c)
	}
}
