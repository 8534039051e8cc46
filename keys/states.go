package keys

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/x/ringdht/rpc"
)

// The states of an arc travel as a version, and for each key its length, the key, the length of the
// encoded state, and that. Lengths are uvarints.
const statesVersion = 1

// Handle is [Owner].
func (s *states[S]) Handle(ctx context.Context, m Message) ([]byte, error) {
	run := s.space.methods[m.op.Method]
	if run == nil {
		return nil, verdict{codeNoMethod, fmt.Sprintf("no such method: %q", m.op.Method)}
	}
	return run(ctx, s, m)
}

// state returns the state of a key. Its handler owns it while it runs.
func (s *states[S]) state(ctx context.Context, key string) (*S, error) {
	point := Point(key)
	if e := s.get(key, point); e != nil {
		e.term = Term(ctx)
		return &e.state, s.decode(e)
	}
	e := &entry[S]{point: point, term: Term(ctx)}
	if load := s.space.load; load != nil {
		var err error
		if e.state, err = load(ctx, key); err != nil {
			return nil, err
		}
	}
	s.put(key, e)
	return &e.state, nil
}

// decode decodes a state that another owner has encoded.
func (s *states[S]) decode(e *entry[S]) error {
	if e.encoded == nil {
		return nil
	}
	var state S
	if err := s.space.hub.codec.Decode(e.encoded, &state); err != nil {
		return verdict{codeMalformed, fmt.Sprintf("the state that another owner has given is no %T: %v", state, err)}
	}
	e.state, e.encoded = state, nil
	return nil
}

// Give is [Owner].
func (s *states[S]) Give(ctx context.Context, a Arc, w io.Writer) error {
	if _, err := w.Write([]byte{statesVersion}); err != nil {
		return err
	}
	var b []byte
	for key, e := range s.within(a) {
		if err := s.leaves(ctx, key, e); err != nil {
			return fmt.Errorf("OnSave of %.80q: %w", key, err)
		}
		state := e.encoded
		if state == nil {
			var err error
			if state, err = s.space.hub.codec.Append(nil, &e.state); err != nil {
				return fmt.Errorf("encoding the state of %.80q, a %T: %w", key, e.state, err)
			}
		}
		b = binary.AppendUvarint(b[:0], uint64(len(key)))
		b = append(b, key...)
		b = binary.AppendUvarint(b, uint64(len(state)))
		if _, err := w.Write(append(b, state...)); err != nil {
			return err
		}
	}
	return nil
}

// leaves tells OnSave's function of a state.
func (s *states[S]) leaves(ctx context.Context, key string, e *entry[S]) error {
	if s.space.save == nil {
		return nil
	}
	if err := s.decode(e); err != nil {
		return err
	}
	return s.space.save(context.WithValue(ctx, termKey{}, e.term), key, &e.state)
}

// Take is [Owner].
func (s *states[S]) Take(_ context.Context, a Arc, r io.Reader) error {
	s.remove(a)
	if r == nil {
		return nil
	}
	all := bufio.NewReader(r)
	if version, err := all.ReadByte(); err != nil || version != statesVersion {
		return fmt.Errorf("states of version %d, not %d", version, statesVersion)
	}
	for {
		key, err := readPart(all)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var state []byte
		if err == nil {
			state, err = readPart(all)
		}
		if err != nil {
			s.remove(a)
			return fmt.Errorf("states make no sense: %w", err)
		}
		if e := (&entry[S]{point: Point(string(key)), encoded: state}); a.Has(e.point) {
			s.put(string(key), e)
		}
	}
}

// readPart reads what its length says. At the end the error is io.EOF.
func readPart(r *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if n > maxGive {
		return nil, fmt.Errorf("a part of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err = io.ReadFull(r, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return b, nil
}

// Resume is [Owner].
func (s *states[S]) Resume(Arc) {}

// Drop is [Owner].
func (s *states[S]) Drop(ctx context.Context, a Arc, lost bool) {
	if lost && ctx.Err() == nil { // else the life is over, and with it what its handlers do
		for key, e := range s.within(a) {
			if err := s.leaves(ctx, key, e); err != nil {
				slog.Error("keys: OnSave has failed, and the state is lost", "service", s.space.hub.name, "key", key, "error", err)
			}
		}
	}
	s.remove(a)
}

// Term returns the term under which the owner handles the message of a handler's context, which is that of
// OnLoad too. In OnSave it is that of the latest message to the key at this node, 0 if there was none; for
// other contexts it is 0. Terms of a key grow with each move of it. So what is outside of the ring can
// refuse an owner that was declared dead and does not know it.
func Term(ctx context.Context) uint64 {
	term, _ := ctx.Value(termKey{}).(uint64)
	return term
}

type termKey struct{}

// withTerm is the context of a handler.
func withTerm(ctx context.Context, op *rpc.Op, term uint64) context.Context {
	return context.WithValue(rpc.ForHandler(ctx, op), termKey{}, term)
}
