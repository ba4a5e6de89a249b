package oprf

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// PadLabel makes the label of a record out of its text: UTF-8 without NUL, filled
// with zeros to labelBytes, so that labels of all lengths look alike.
func PadLabel(text string, labelBytes int) ([]byte, error) {
	switch {
	case labelBytes < 0 || labelBytes > MaxLabelBytes:
		return nil, fmt.Errorf("oprf: %w: labels of %d bytes, want 0 to %d", ErrLayout, labelBytes, MaxLabelBytes)
	case len(text) > labelBytes:
		return nil, fmt.Errorf("oprf: %w: %d bytes, at most %d", ErrLabel, len(text), labelBytes)
	case strings.IndexByte(text, 0) >= 0:
		return nil, fmt.Errorf("oprf: %w: holds NUL", ErrLabel)
	case !utf8.ValidString(text):
		return nil, fmt.Errorf("oprf: %w: not UTF-8", ErrLabel)
	}
	label := make([]byte, labelBytes)
	copy(label, text)
	return label, nil
}

// TrimLabel undoes PadLabel. What Find returned for a wrong match, or for a
// table made otherwise, is refused in all likelihood: NUL within, or not UTF-8.
func TrimLabel(label []byte) (string, error) {
	if len(label) > MaxLabelBytes {
		return "", fmt.Errorf("oprf: %w: %d bytes, at most %d", ErrLabel, len(label), MaxLabelBytes)
	}
	text := bytes.TrimRight(label, "\x00")
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		return "", fmt.Errorf("oprf: %w: NUL within", ErrLabel)
	case !utf8.Valid(text):
		return "", fmt.Errorf("oprf: %w: not UTF-8", ErrLabel)
	}
	return string(text), nil
}
