//go:build linux

package chaos

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync"
)

// ledger is a file of entries, in the order in which they were made. An entry is one write,
// so it survives the end of the process.
type ledger struct {
	mu   sync.Mutex
	file *os.File
}

// entry is one line of a ledger. An instance enters each request that it handles, with the
// client's process. A client enters each answer, with the instance's process.
type entry struct{ other, number uint64 }

const entrySize = 16

func createLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return &ledger{file: f}, err
}

func (l *ledger) enter(e entry) error {
	line := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, e.other), e.number)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.file.Write(line)
	return err
}

func readLedger(path string) ([]entry, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(raw)%entrySize != 0 {
		return nil, fmt.Errorf("%s ends within an entry", path)
	}
	var all []entry
	for line := range slices.Chunk(raw, entrySize) {
		all = append(all, entry{binary.BigEndian.Uint64(line), binary.BigEndian.Uint64(line[8:])})
	}
	return all, nil
}

// statement is the ledger of one process, and how many requests a client has made.
type statement struct {
	name    string
	process uint64
	made    uint64
	entries []entry
}

// reconcile compares the answers that clients had with what instances handled. Each request
// must have one answer, of the one instance that handled it, which did so once.
func reconcile(clients, instances []statement) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf(format, args...))
	}
	handled := make(map[entry][]uint64) // by client and number: the instances
	names := make(map[uint64]string)
	for _, s := range instances {
		names[s.process] = s.name
		for _, e := range s.entries {
			handled[e] = append(handled[e], s.process)
		}
	}
	for _, c := range clients {
		answers := make(map[uint64][]uint64) // by number: the instances
		for _, e := range c.entries {
			answers[e.number] = append(answers[e.number], e.other)
		}
		for n := uint64(1); n <= c.made; n++ {
			request := entry{c.process, n}
			by, from := handled[request], answers[n]
			delete(handled, request)
			delete(answers, n)
			if len(by) == 1 && slices.Equal(by, from) {
				continue
			}
			complain("request %d of %s was handled by %s, and answered by %s", n, c.name, list(names, by), list(names, from))
		}
		for n := range answers {
			complain("%s has an answer to request %d, which it did not make", c.name, n)
		}
	}
	for e := range handled {
		complain("request %d of process %d was handled, and no client made it", e.number, e.other)
	}
	return complaints
}

// list names processes for a complaint.
func list(names map[uint64]string, processes []uint64) string {
	all := []string{}
	for _, p := range processes {
		all = append(all, names[p])
	}
	return fmt.Sprintf("%q", all)
}
