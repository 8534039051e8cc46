package codec

import (
	"bytes"
	"encoding/json"
)

// JSON is encoding/json as a codec. It does not escape characters for HTML: that makes one of them six
// bytes, and lists of members have bounds.
type JSON struct{}

func (JSON) Name() string { return "json" }

func (JSON) Append(dst []byte, v any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (JSON) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }
