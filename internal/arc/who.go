package arc

// Where asks the registry for the node ID of a Life; the answer has it as Point, or is Refused: no member
// has this life. It is no frame of the authority.
const Where Kind = Closed + 1

// NodePoint is the first position of a node.
func NodePoint(id uint64) uint64 {
	z := id + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
