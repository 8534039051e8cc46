package plane

import (
	"sync/atomic"

	"github.com/x/ringdht/internal/wire"
)

// An Open proves nothing: any node can send one in another's name. So an incoming stream begins
// without a share of the receive buffer. It gets one with its first message, since only its source
// was told the numbers. Until then it may hold firstWindow.
//
// A stream is on trial until then if this node does not know the incarnation of its source: it is
// that of a newcomer of which this node has not heard yet, or there is none. Trials are few, and
// where this node knows all members each has a time: a source that it still does not know then is
// none. So forged sources take neither the room of members' streams nor their windows.
//
// A source that is a member, or may be one, keeps its stream: frames of its first messages may be
// held up for longer, and the stream's end would leave them without a known outcome.
//
// Rejected: to forget the oldest trial for the sake of a new one. A flood would end those of
// newcomers between their Open and their first message. A refused newcomer asks again, and needs
// no trial as soon as this node has heard of it.
//
// A source has one stream on trial at a time. Its others wait for the first message of that one, or
// until this node has heard of it.
type trial struct {
	proven      bool        // a message has come
	onTrial     atomic.Bool // counts in Plane.trials; changes with the stream's lock held
	shares      bool        // counts in Plane.sharing: it is proven, and its source has not left
	trialSweeps int         // since the last Open
}

const (
	// maxTrials bounds the streams on trial where this node knows all members. Where it knows
	// a sample, three quarters of all streams may be on trial.
	maxTrials = 1024
	// trialTime is how many sweeps a trial takes at most where all members are known: four leases.
	trialTime = 12
	// firstWindow is what a source may send before its first message has come. It sends no
	// more at first, even if its window is larger.
	firstWindow = 64 << 10
	// maxGeneration bounds the numbers of a source's streams. A source counts from below
	// 2^48. So a forged number leaves room for later ones.
	maxGeneration = 1 << 62
)

// plausible reports whether the source of an Open can have sent it.
func (p *Plane) plausible(f wire.Frame, b wire.OpenBody) bool {
	return f.Seq() <= maxGeneration && (p.MayExist == nil || p.MayExist(b.Incarnation))
}

// trialsFull reports whether a new stream must wait because too many are on trial, or another one of
// its source is. Then the source gets no answer, since it may not exist.
func (p *Plane) trialsFull(f wire.Frame, b wire.OpenBody, s *service) bool {
	most := p.Streams - p.Streams/4
	if p.members.KnowsAll() {
		most = min(most, maxTrials)
	}
	if !p.unproven(f.Src(), b.Incarnation) {
		return false
	}
	full := p.trials.Load() >= int64(most)
	for _, in := range p.incomingStreams(f.Src()) {
		if in.service == s {
			return false // it is one of them, or needs no trial
		}
		full = full || in.onTrial.Load()
	}
	return full
}

// unproven reports whether this node does not know an incarnation of a source.
func (p *Plane) unproven(source, inc uint64) bool {
	return source != p.Self && p.members.Unproven(source, inc)
}

// beginTrial begins the trial of a new stream, unless its source is known.
func (p *Plane) beginTrial(in *inbound) {
	if p.unproven(in.source, in.incarnation) {
		in.onTrial.Store(true)
		p.trials.Add(1)
	}
}

// endTrial needs in.mu.
func (p *Plane) endTrial(in *inbound) {
	if in.onTrial.CompareAndSwap(true, false) {
		p.trials.Add(-1)
	}
}

// prove notes the first message of a stream. It needs in.mu.
func (p *Plane) prove(in *inbound) {
	in.proven = true
	p.endTrial(in)
	p.updateShare(in)
}

// updateShare gives a stream its share of the receive buffer, or takes it back. It needs in.mu.
func (p *Plane) updateShare(in *inbound) {
	if shares := in.proven && !in.sourceLeft && !in.forgotten; shares != in.shares {
		in.shares = shares
		n := int64(1)
		if !shares {
			n = -1
		}
		p.sharing.Add(n)
		in.service.sharing.Add(n)
	}
}

// trialIsOver reports whether a stream has been on trial for too long. It needs in.mu.
func (p *Plane) trialIsOver(in *inbound) bool {
	if !in.onTrial.Load() || in.forgotten || !p.members.KnowsAll() {
		return false
	}
	if !p.members.Unproven(in.source, in.incarnation) { // this node has heard of it
		p.endTrial(in)
		return false
	}
	in.trialSweeps++
	return in.trialSweeps > trialTime && in.idle()
}

// firstWindow is the window of a stream that opens. It needs in.mu.
func (p *Plane) firstWindow(in *inbound) int {
	if in.shares {
		return p.window(in.service)
	}
	return min(p.windowAmong(in.service, 1), firstWindow)
}
