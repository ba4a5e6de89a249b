package vocabulary

func (d *decoder) validate(doc Document) {}
