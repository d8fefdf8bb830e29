from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, computed_field


class LineIn(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    product: str = Field(min_length=1, max_length=200)
    quantity: int = Field(gt=0, le=10_000)
    price: Decimal = Field(ge=0, max_digits=12, decimal_places=2)


class OrderIn(BaseModel):
    customer: str = Field(min_length=1, max_length=200)
    lines: list[LineIn] = Field(min_length=1, max_length=100)


class OrderOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    customer: str
    created_at: datetime
    lines: list[LineIn]

    @computed_field
    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))
