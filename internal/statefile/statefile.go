// Package statefile keeps what a registry must know after a restart, in a directory: small
// files, readable by people, each of which is replaced as a whole. It knows nothing of rings but
// the fields of the first.
//
//	ring.json      the state
//	ring.json.tmp  the next one, while it is written
//	lock           locked while a registry uses the directory, where the system has flock
//
// The registry of a secure ring has more files there, see [Dir.WriteFile].
package statefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// version is that of the file's format. Version 1 had no secure rings.
const version = 2

// maxSize bounds what is read.
const maxSize = 64 << 10

// State is the contents of the file.
type State struct {
	Version     int    `json:"version"`
	Ring        string `json:"ring"`     // the ring's name
	Identity    string `json:"identity"` // empty before there was a ring
	Bits        int    `json:"bits"`
	MaxPayload  int    `json:"max_payload"`
	Secure      bool   `json:"secure"`
	Empty       bool   `json:"empty"`       // no member can come back
	Incarnation uint64 `json:"incarnation"` // the greatest given by then
	Epoch       uint64 `json:"epoch"`
	Lock        string `json:"lock,omitempty"` // which file the lock was, by its number in the file system
}

// Dir is a directory that this process has for itself. Its methods are safe for concurrent use.
type Dir struct {
	path      string
	unwritten error
	copied    bool

	mu     sync.Mutex // held while a file is written; guards what follows
	lock   *os.File
	number string // of the lock, see State.Lock
}

// Open takes a directory, makes it if there is none, and reads its state. If there is none it
// is fresh: with the name and the terms of the ring. It is written back, so that a directory
// that cannot be written is an error now. Another name or other terms are errors too: members
// would have to end their incarnations.
//
// A full disk is no error if there is a state: the members of that ring need a registry, and the
// file is right as it is.
func Open(path string, fresh State) (_ *Dir, s State, err error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, s, fmt.Errorf("cannot make the directory: %w", err)
	}
	d := &Dir{path: path}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	d.mu.Lock()
	err = d.takeLock()
	d.mu.Unlock()
	if err != nil {
		return nil, s, err
	}
	s, err = d.read(fresh)
	if err != nil {
		return d, s, err
	}
	d.copied = s.Lock != "" && d.number != "" && s.Lock != d.number
	s.Lock = "" // Write knows it
	if err = d.Write(s); isFull(err) && s != fresh {
		d.unwritten, err = err, nil
	}
	return d, s, err
}

// Unwritten is why Open could not write the state, if it said nothing since the disk is full.
func (d *Dir) Unwritten() error { return d.unwritten }

// Copied reports whether the directory is a copy of the one that its state was written in, such as
// one that came back from a backup or to another disk. The lock does not keep the registry of the
// first one out. It is true at the first start only, and never where files have no numbers.
func (d *Dir) Copied() bool { return d.copied }

// takeLock takes the lock, unless this process has it. A directory that was removed and made again
// has another lock file. It needs mu.
func (d *Dir) takeLock() error {
	name := filepath.Join(d.path, "lock")
	if d.lock != nil {
		own, err := d.lock.Stat()
		if err != nil {
			return fmt.Errorf("the directory cannot be locked: %w", err)
		}
		if there, err := os.Stat(name); err == nil && os.SameFile(own, there) {
			return nil
		}
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the directory cannot be written: %w", err)
	}
	if err := lock(f); err != nil {
		defer f.Close()
		return fmt.Errorf("%s is in use by another registry, process %s: stop that one, or give this one another directory (%w)", d.path, holder(f), err)
	}
	fmt.Fprintf(&truncated{f}, "%d\n", os.Getpid()) // only for the message above
	d.unlock()
	d.lock, d.number = f, numberOf(f)
	return nil
}

// read reads the state, and compares it with that of a fresh directory.
func (d *Dir) read(fresh State) (s State, err error) {
	name := filepath.Join(d.path, "ring.json")
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read the state: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return s, fmt.Errorf("cannot read the state: %w", err)
	}
	err = json.Unmarshal(text, &s)
	switch {
	case err == nil && s.Version > version:
		return s, fmt.Errorf("%s is of version %d, this program knows version %d: run the program that wrote it", name, s.Version, version)
	case err == nil && s.Version < 1:
		err = errors.New("it has no version")
	case err == nil && len(s.Identity) != 0 && (len(s.Identity) != 32 || strings.Trim(s.Identity, "0123456789abcdef") != ""):
		err = fmt.Errorf("its identity %.40q is not 32 hexadecimal digits", s.Identity)
	}
	if err != nil {
		return s, fmt.Errorf("%s is not the state of a ring (%w): restore it; or, when all nodes of the ring have ended, remove it", name, err)
	}
	const advice = "members of that ring could not come back: give the registry the same, or another directory"
	switch {
	case s.Ring != fresh.Ring:
		return s, fmt.Errorf("%s keeps the ring %q, this registry has the ring %q (WithRing): %s", name, s.Ring, fresh.Ring, advice)
	case s.Bits != fresh.Bits:
		return s, fmt.Errorf("%s keeps a ring with IDs of %d bits, this registry has %d (WithBits): %s", name, s.Bits, fresh.Bits, advice)
	case s.MaxPayload != fresh.MaxPayload:
		return s, fmt.Errorf("%s keeps a ring with messages of up to %d bytes, this registry has %d (WithMaxPayload): %s", name, s.MaxPayload, fresh.MaxPayload, advice)
	case s.Secure && !fresh.Secure:
		return s, fmt.Errorf("%s keeps a secure ring, and this registry has an open one: give it WithSecurity (-secure), or another directory", name)
	case !s.Secure && fresh.Secure && s.Identity == "": // no ring was ever there
		s.Secure = true
	case !s.Secure && fresh.Secure:
		return s, fmt.Errorf("%s keeps an open ring, and this registry has a secure one (WithSecurity, -secure): members cannot come back without admissions: end all nodes of that ring and remove the file, or give the registry another directory", name)
	}
	return s, nil
}

// Write replaces the state. After an error the file has the old state or this one.
func (d *Dir) Write(s State) error {
	s.Version = version
	d.mu.Lock()
	s.Lock = d.number
	d.mu.Unlock()
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return d.WriteFile("ring.json", append(text, '\n'))
}

// WriteFile replaces a file of the directory, which only its owner may read. When it returns the
// file is on disk. After an error it has the old contents or these.
func (d *Dir) WriteFile(name string, text []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.takeLock(); err != nil {
		return err
	}
	name = filepath.Join(d.path, name)
	f, err := create(name + ".tmp")
	if err != nil {
		return fmt.Errorf("the directory cannot be written: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(name+".tmp", name)
	}
	if err == nil {
		err = syncDir(d.path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the state: %w", err)
	}
	return nil
}

// create makes a file that only its owner may read. One of that name, or a link, is removed: it may
// be left by a registry that was killed, or by another user, and must not get the contents.
var create = func(name string) (*os.File, error) { // replaced by tests
	if info, err := os.Lstat(name); err == nil && !info.IsDir() {
		os.Remove(name)
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// ReadFile returns a file of the directory with its whole name, and nil if there is none. A file
// with secrets is refused if others than its owner may read it.
func (d *Dir) ReadFile(name string, most int64) (text []byte, path string, err error) {
	path = filepath.Join(d.path, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, path, nil
	}
	if err != nil {
		return nil, path, fmt.Errorf("cannot read what the registry keeps: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && sharedWithOthers(info) {
		return nil, path, fmt.Errorf("%s may be read by other users (%v), and has secrets: chmod 600 %s; if others have read it, end all nodes and start a new ring in another directory", path, info.Mode().Perm(), path)
	}
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(f, most+1))
	}
	switch {
	case err != nil:
		return nil, path, fmt.Errorf("cannot read what the registry keeps: %w", err)
	case int64(len(text)) > most:
		return nil, path, fmt.Errorf("%s has more than %d bytes: a registry has not written it", path, most)
	}
	return text, path, nil
}

// Close lets another registry use the directory.
func (d *Dir) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unlock()
}

// unlock lets go of the lock. It needs mu.
func (d *Dir) unlock() {
	if d.lock != nil {
		d.lock.Close()
	}
}

// holder is the number of the process that has the lock, as it wrote it.
func holder(lock io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(lock, 20))
	if number := strings.TrimSpace(string(text)); err == nil && number != "" && strings.Trim(number, "0123456789") == "" {
		return number
	}
	return "unknown"
}

// truncated replaces a file's text.
type truncated struct{ *os.File }

func (t truncated) Write(b []byte) (int, error) {
	if err := t.Truncate(0); err != nil {
		return 0, err
	}
	return t.WriteAt(b, 0)
}
