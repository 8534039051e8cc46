// Package stream is the end-to-end state machine that makes delivery exact: the
// source's half numbers, keeps, asks and sends again; the sink's half orders,
// deduplicates and acknowledges. It is pure. Frames and time go in, frames and
// deliveries come out; it has no clock, no lock and no I/O, so that it can be
// tested exhaustively and fuzzed against a model.
//
// # How loss is found
//
// A stream's frames follow one another over links that keep order, so most of
// the time nothing is lost, and a timer that guesses that something was (as
// TCP's does) would feed an overload with copies. Here the source never guesses:
// it asks. A Sync says "everything below this number has been sent, in round r";
// since it travels behind the data, the acknowledgement that echoes r tells
// exactly which messages did not make it, and only those are sent again, with
// the next Sync behind them. A lost Sync or acknowledgement costs a timeout and
// 36 bytes, never a window of data.
//
// The sink acknowledges each quarter of its window and whenever it is asked, and
// then once more when its handler is done with all that was asked about; the
// source asks when it flushes, when it has run out of room and when it hears of
// a hole, and after a timeout, a little before which it asks with the next message if
// there is one, see [Sender.Due]. It never asks twice about the same: a handler that
// takes its time would have both ends exchange questions and answers as fast as
// the path allows. So there is no timer at the sink, and none on the path of a
// message.
//
// A sink that has no room for a message drops it, which looks like any loss. What
// was sent again a few times in vain is therefore sent at the pace of the timeouts
// from then on, until the sink takes or finishes anything.
//
// # How lives are told apart
//
// The first number of a stream is drawn at random from 2^62 by the sink when the
// stream opens. Numbers are therefore a stream's identity as well as its order:
// a frame, or an acknowledgement, of an earlier life of either side falls outside
// the window of the present one, also when all memory of that life is gone. (A
// field of its own for the identity would cost 8 bytes in every frame.)
//
// A sink that gets a question of a stream it does not know, or that is not the one
// it knows from this source, must answer with a Reset; the numbers keep a Reset for
// an earlier life from harming the present one. Silence would not do: a late Open
// can make a sink that came back open anew a stream that its source believes open.
package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// Time is time since a moment of the caller's choice, which never goes back. It
// must be greater than zero.
type Time = time.Duration

// The timing rules. All other times follow from measured round trips.
const (
	// InitialRTO is how long to wait for an answer before any was timed.
	InitialRTO = 500 * time.Millisecond
	// MinRTO is far above a round trip on a network that does its job, because
	// the answer to a busy sink's neighbour may wait for a processor.
	MinRTO = 100 * time.Millisecond
	// TickInterval is how often streams that wait look at the clock, see [Sender.Tick]:
	// finely enough for the shortest timeout.
	TickInterval = MinRTO / 4
	// MaxRTO bounds the doubling, and so the time it takes to notice that a path
	// works again.
	MaxRTO = 2 * time.Second
)

// Bounds of the congestion window, in bytes of frames.
const (
	minCongestion   = 4 << 10
	startCongestion = 64 << 10
	maxCongestion   = 16 << 20
	growth          = 4 << 10 // per window acknowledged, once loss was seen
)

// maxAhead is how far ahead of the expected number a frame may be and still be
// held; anything farther is of another life. It is also what the largest window
// holds of the smallest frames.
const maxAhead = 1 << 16

// maxFirst is the highest number a stream may start at, so that none ever wraps.
const maxFirst = 1 << 63

// Why a stream came to its end before everything was delivered.
var (
	// ErrNoSuchNode says that a relay found nobody with the sink's ID.
	ErrNoSuchNode = errors.New("no such node")
	// ErrHopLimit says that a frame crossed more links than the ring allows.
	ErrHopLimit = errors.New("hop limit reached")
	// ErrReset says that the sink does not know the stream: it is another life.
	ErrReset = errors.New("the sink has no memory of this stream")
	// ErrGone says that the sink was there and is not any more.
	ErrGone = errors.New("the node has died or left")
	// ErrLeft says that the sink has left in good order, and did not handle what was
	// pending. It matches ErrGone.
	ErrLeft error = leftError{}
	// ErrRefused says that the sink would not open the stream.
	ErrRefused = errors.New("the sink refused the stream")
	// ErrOutlived is an ErrRefused: the sink remembers a later life of the source.
	ErrOutlived = fmt.Errorf("%w: %v", ErrRefused, wire.RefuseOlder)
)

type leftError struct{}

func (leftError) Error() string        { return "the node has left in good order and has not handled it" }
func (leftError) Is(target error) bool { return target == ErrGone }

// MaxWindow is the largest window a sink may grant.
const MaxWindow = maxAhead * wire.HeaderSize
