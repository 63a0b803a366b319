"""What runs beside the user's code: tasks, their loops and previews, and the thread that reports them."""
