package wire

import "encoding/binary"

// A Data frame with the bundle flag is a bundle: several messages under one header, which are
// consecutive, and have one port. The name is that of SCTP (RFC 9260). The header's seq is the number
// of the first. So a short message costs 2 bytes on the wire instead of 32, and a relay looks at one
// header instead of many.
//
//	32 count  uint16   messages, at least 1
//	34 length uint16, body   of each
//
// A source makes a bundle, and no relay changes it. A sink takes all of its messages or none. Once a
// bundle has left its source it never changes: the same stream, seq and count are the same bytes. So
// a bundle can become the unit that is encrypted from source to sink.
//
// In an Opened the flag means that the sink takes bundles. A source sends none to another one.
const (
	// MaxBundle is the longest body of a bundle that this package builds. A larger one would save less
	// than a hundredth, and more is sent again when it is lost.
	MaxBundle = 4 << 10
	// MaxBundled is the longest message that it bundles. A longer one gains less than the copy costs
	// that makes a plain frame a bundle.
	MaxBundled = 1 << 10

	flagBundle = 2

	countSize  = 2
	lengthSize = 2
	bundleAt   = HeaderSize + countSize // where the messages begin
)

// SetBundle sets the bundle flag.
func (f Frame) SetBundle() { f[offFlags] |= flagBundle }

// Bundles reports whether the bundle flag of an [Opened] is set: the sink takes bundles.
func (f Frame) Bundles() bool { return f[offFlags]&flagBundle != 0 }

// isBundle reports whether f is a bundle.
func (f Frame) isBundle() bool { return f[offFlags]&flagBundle != 0 && Type(f[0]) == Data }

// Messages returns the number of messages in f, 1 for any frame but a bundle. The number is what the
// bundle claims, but for one that has no room for so many: that counts as 1.
func (f Frame) Messages() int {
	if !f.isBundle() || len(f) < bundleAt {
		return 1
	}
	n := int(binary.BigEndian.Uint16(f[HeaderSize:]))
	if n == 0 || bundleAt+n*lengthSize > len(f) {
		return 1
	}
	return n
}

// Sound reports whether f can be walked: it is no bundle, or one whose count and lengths fill it.
func (f Frame) Sound() bool {
	if !f.isBundle() {
		return true
	}
	if len(f) < bundleAt {
		return false
	}
	n := int(binary.BigEndian.Uint16(f[HeaderSize:]))
	rest := f[bundleAt:]
	for range n {
		if len(rest) < lengthSize {
			return false
		}
		size := lengthSize + int(binary.BigEndian.Uint16(rest))
		if size > len(rest) {
			return false
		}
		rest = rest[size:]
	}
	return n > 0 && len(rest) == 0
}

// Bundling returns by how many bytes a frame of the given number of messages grows if one with a body
// of n bytes joins it.
func Bundling(messages, n int) int {
	if messages == 1 { // it becomes a bundle
		return countSize + lengthSize + lengthSize + n
	}
	return lengthSize + n
}

// Bundle puts one more message at the end of f, whose last bytes are free: as many as [Bundling] says.
// f had the given number of messages.
func Bundle(f Frame, messages int, body []byte) {
	end := len(f) - len(body)
	copy(f[end:], body)
	end -= lengthSize
	binary.BigEndian.PutUint16(f[end:], uint16(len(body)))
	if messages == 1 {
		first := end - bundleAt - lengthSize
		copy(f[bundleAt+lengthSize:end], f[HeaderSize:HeaderSize+first])
		binary.BigEndian.PutUint16(f[bundleAt:], uint16(first))
		f.SetBundle()
	}
	binary.BigEndian.PutUint16(f[HeaderSize:], uint16(messages+1))
	binary.BigEndian.PutUint32(f, uint32(Data)<<24|uint32(len(f)-PrefixSize))
}

// Walker walks the messages of whole, sound frames.
type Walker struct {
	frames []byte // not begun yet
	rest   []byte // of the bundle under way

	Frame Frame  // the present one
	Body  []byte // of the present message
}

// Walk returns a walker before the first message of frames.
func Walk(frames []byte) Walker { return Walker{frames: frames} }

// Next goes to the next message. It returns false if there is none.
func (w *Walker) Next() bool {
	if len(w.rest) == 0 {
		if len(w.frames) == 0 {
			return false
		}
		w.Frame, w.frames = Next(w.frames)
		if !w.Frame.isBundle() {
			w.Body = w.Frame.Body()
			return true
		}
		w.rest = w.Frame[bundleAt:]
	}
	end := lengthSize + int(binary.BigEndian.Uint16(w.rest))
	w.Body, w.rest = w.rest[lengthSize:end:end], w.rest[end:]
	return true
}

// Left returns how many bytes follow the present message.
func (w *Walker) Left() int { return len(w.rest) + len(w.frames) }

// SamePort reports whether a message follows, with the port of the present one.
func (w *Walker) SamePort() bool {
	return len(w.rest) > 0 || len(w.frames) > 0 && Frame(w.frames).Port() == w.Frame.Port()
}
