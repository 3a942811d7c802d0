"""What is done to pictures: storage and transforms, on pixels and bytes."""
