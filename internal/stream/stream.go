// Package stream delivers messages from a source to a sink exactly once and in order. The
// [Sender] at the source numbers messages, keeps them, asks the sink what has arrived and
// sends the rest again. The [Receiver] at the sink orders, deduplicates and acknowledges.
//
// The package is pure. Frames and time go in; frames and deliveries come out. Without clock,
// lock and I/O it can be tested exhaustively and fuzzed against a model.
//
// # How loss is found
//
// The source never guesses that a frame was lost: it asks. Links keep order and rarely lose
// frames, so a retransmission timer that guesses, like TCP's, would answer overload with more
// copies. A Sync frame says "everything below this number was sent, in round r". It travels
// behind the data. So the acknowledgement that echoes r tells exactly which messages were
// lost. The source sends only those again, with the next Sync behind them. A lost Sync or
// acknowledgement costs a timeout and 36 bytes, never a window of data.
//
// The source asks
//   - when it flushes,
//   - when it has run out of room,
//   - when it hears of a hole,
//   - after a timeout, or shortly before that together with a message, see [Sender.Due].
//
// It never asks twice about the same messages: with a slow handler both ends would exchange
// questions and answers as fast as the path allows. The sink acknowledges each quarter of its
// window, and each question twice: when it arrives, and when the handler is done with all
// that was asked about. So there is no timer at the sink, and none on the path of a message.
//
// A sink without room for a message drops it, which looks like a loss. Messages that were
// sent again a few times in vain are therefore sent at the rate of the timeouts, until the
// sink takes or handles any message.
//
// # How incarnations are told apart
//
// The numbers of a stream are its identity as well as its order: the sink draws the first
// number at random from 2^62 when the stream opens. A frame or an acknowledgement of an
// earlier incarnation of either side falls outside the window of the present one, even if
// all memory of that incarnation is lost. (A separate identity field would cost 8 bytes in
// every frame.)
//
// A sink must answer a question with a Reset if it does not know the stream, or knows another
// stream from this source. The numbers keep a late Reset from harming a later incarnation.
// Silence would not do: a late Open can make a restarted sink open a stream again that its
// source believes to be open already.
package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/x/ringdht/internal/wire"
)

// Time is the time since a moment of the caller's choice. It must be greater than zero and
// never go back.
type Time = time.Duration

// The fixed times. All others follow from measured round trips.
const (
	// InitialRTO is the timeout before the first round trip was measured.
	InitialRTO = 500 * time.Millisecond
	// MinRTO is the shortest timeout. It is far above a network's round trip, because on a
	// busy machine an answer may wait for a processor.
	MinRTO = 100 * time.Millisecond
	// TickInterval is how often to call [Sender.Tick], at most. It is fine enough for MinRTO.
	TickInterval = MinRTO / 4
	// MaxRTO is the longest timeout. It bounds the doubling, and so the time until a sender
	// notices that a path works again.
	MaxRTO = 2 * time.Second
)

// Bounds of the congestion window, in bytes of frames.
const (
	minCongestion   = 4 << 10
	startCongestion = 64 << 10
	maxCongestion   = 16 << 20
	growth          = 4 << 10 // per acknowledged window, after the first loss
)

// maxAhead is how far ahead of the expected number a frame may be and still be held. A number
// farther ahead belongs to another incarnation. A message takes at least 2 bytes of a window, which
// is the length of an empty one in a bundle.
const maxAhead = MaxWindow / 2

// maxFirst is the highest first number, so that numbers never wrap.
const maxFirst = 1 << 63

// Reasons for the end of a stream before everything was delivered.
var (
	// ErrNoSuchNode means that no node has the sink's ID, by the word of a relay.
	ErrNoSuchNode = errors.New("no such node")
	// ErrHopLimit means that a frame crossed more links than the ring allows.
	ErrHopLimit = errors.New("hop limit reached")
	// ErrReset means that the sink does not know the stream: it is another incarnation. It
	// matches ErrGone.
	ErrReset error = resetError{}
	// ErrContradiction means that answers in the sink's name contradict each other: a relay has made
	// them up. It matches ErrGone.
	ErrContradiction error = contradictionError{}
	// ErrGone means that the sink has died or left.
	ErrGone = errors.New("the node has died or left")
	// ErrLeft means that the sink has left in good order and did not handle the pending
	// messages. It matches ErrGone.
	ErrLeft error = leftError{}
	// ErrRefused means that the sink refused to open the stream.
	ErrRefused = errors.New("the sink refused the stream")
	// ErrNoService means that the sink does not handle messages of the stream's service. None was
	// handled.
	ErrNoService = errors.New("no such service")
	// ErrStaleIncarnation is an ErrRefused: the sink remembers a later incarnation of the source.
	ErrStaleIncarnation = fmt.Errorf("%w: %v", ErrRefused, wire.RefuseOlder)
)

type resetError struct{}

func (resetError) Error() string        { return "the sink has no memory of this stream" }
func (resetError) Is(target error) bool { return target == ErrGone }

type contradictionError struct{}

func (contradictionError) Error() string {
	return "answers in the sink's name contradict each other, so earlier messages may be lost as well: a member on the way has made them up"
}
func (contradictionError) Is(target error) bool { return target == ErrGone }

type leftError struct{}

func (leftError) Error() string        { return "the node has left in good order and has not handled it" }
func (leftError) Is(target error) bool { return target == ErrGone }

// MaxWindow is the largest window that a sink may grant, in bytes.
const MaxWindow = 2 << 20
